"""Devices in over MQTT, history and live state kept, changes and commands out."""
