"""Language models: GPT-2 and LSTM under token noise. Importing it imports no torch."""
