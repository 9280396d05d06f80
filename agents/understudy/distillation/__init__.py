"""Learning from experts: which of their answers may teach, and in what form."""
