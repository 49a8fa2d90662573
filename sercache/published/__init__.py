"""What papers did, made whole from the files of heads and papers, and which of it a run did in another way."""
