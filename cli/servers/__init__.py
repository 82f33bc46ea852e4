"""Private servers: mosquitto, Redis and PostgreSQL as children of this process."""
