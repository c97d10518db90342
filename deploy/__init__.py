"""Every way to run Hermod."""
