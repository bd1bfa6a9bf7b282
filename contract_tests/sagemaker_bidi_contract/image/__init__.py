"""What only an image can show: its label, its first process, its start and its stop."""
