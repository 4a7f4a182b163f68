"""Any text classifier of transformers becomes a TextModel: it reads emotion in a text, its sentences and its words."""
