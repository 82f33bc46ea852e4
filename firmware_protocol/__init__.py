"""The wire between a device and the gateway, shared with the people who write firmware."""
