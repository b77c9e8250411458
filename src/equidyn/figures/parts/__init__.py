"""What figures share: style, drawing, selection, captions, writing."""
