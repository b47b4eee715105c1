"""Whether the server can do its work: its databases answer, its log and its disks take writes."""
