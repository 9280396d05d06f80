"""The audit log: append-only, chained by HMAC, its head kept outside the database."""
