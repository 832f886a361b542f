"""The commands of the reports: thin, one file each. What they print the modules above find out."""
