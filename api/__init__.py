"""What people and programs see: REST, WebSocket, health."""
