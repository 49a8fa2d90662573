"""Tables and plots, drawn from a Report, never from memory."""
