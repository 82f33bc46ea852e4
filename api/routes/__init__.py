"""One file per subject of the REST API."""
