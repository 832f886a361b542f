"""Whether what the reports claim is so: worlds with a known truth, and the reports' own functions on them."""
