"""The chat app: a page for people who will never see Python."""
