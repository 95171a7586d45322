//! Tests of IKE.
