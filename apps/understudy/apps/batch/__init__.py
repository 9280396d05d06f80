"""Jobs on the command line: questions from a file, results into another, and how far it is."""
