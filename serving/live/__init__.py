"""Live video over a WebSocket: sound comes in as it is spoken, pictures go out as they are made."""
