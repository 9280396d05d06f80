"""What stands between a question and the stores: views that are opened for one principal, and threads with owners."""
