"""The commands of the ingest: thin, one file each, or one for what is alike."""
