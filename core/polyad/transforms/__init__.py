"""The backends that are wrapped round others: arrays of many examples (`batched`), and of dual numbers (`dual`)."""
