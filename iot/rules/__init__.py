"""Rules over one machine's samples: small modules that know no clock, store or broker."""
