"""Health: whether the databases can be read, and the log and the disks accept writes."""
