"""The reference PDS: data it wrote, and the server itself, installed from npm and started."""
