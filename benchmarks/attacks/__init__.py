"""What a hostile client costs the others: each attack beside a session that only wants to talk."""
