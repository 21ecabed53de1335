"""The ground floor: what every other part of gridrl stands on. Nothing here needs torch at import."""
