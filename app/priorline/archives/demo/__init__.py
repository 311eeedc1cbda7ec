"""Demo hospitals: computed people, studies and pictures behind real DICOM services on loopback. Nobody's data."""
