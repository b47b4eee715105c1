"""The process: start and stop, the application, its ports and connections."""
