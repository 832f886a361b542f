"""Our metrics where people already work: as SQL functions in sqlite-utils and in Datasette."""
