"""How a cluster is reached: addresses, TLS, the profile file."""
