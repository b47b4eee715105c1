"""What has reached the replica: `replication.sqlite`."""
