"""The commands of the reports: thin, one file each; what they print is computed in `reports`."""
