"""The report line end to end: devices, gateway, history, live state, API, map and page on real servers."""
