"""What may leave the machine, in what form, and how that is enforced."""
