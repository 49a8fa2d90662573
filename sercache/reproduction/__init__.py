"""Papers' tables: from cells to trainings to numbers beside the printed ones."""
