//! Applies a blueprint to the copies in /etc and /var of a deployment.
