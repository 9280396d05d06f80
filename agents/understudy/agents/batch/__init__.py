"""Many questions at once: what is asked, what is known of them already, and how they are asked beside each other."""
