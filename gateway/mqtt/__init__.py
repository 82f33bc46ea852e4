"""The MQTT edge: sessions, sockets, topics, leases."""
