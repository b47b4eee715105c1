"""The program Litestream: its daemons, their control sockets and what they answer."""
