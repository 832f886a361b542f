"""The metrics as SQL functions, in sqlite-utils and in Datasette."""
