"""What every Muster service does before its own work: settings, logs, health, supervision, drain."""
