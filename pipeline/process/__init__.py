"""What every command does as a process: signals, contained failures, secrets and terminals."""
