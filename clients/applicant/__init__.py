"""An applicant: a client of a few lines for scores under encryption."""

from clients.applicant.client import ApplicantClient, TermsChanged

__all__ = ["ApplicantClient", "TermsChanged"]
