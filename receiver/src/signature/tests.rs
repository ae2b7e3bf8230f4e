//! What is believed and what is not, beside the official library.

use super::*;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const AT: u64 = 1_748_454_395;
const BODY: &[u8] = b"{\"eventId\":\"e\"}";

fn sign(secret: &str, at: u64) -> String {
    standardwebhooks::Webhook::new(secret).unwrap().sign("e", at.cast_signed(), BODY).unwrap()
}

fn check(verifier: &Verifier, signature: &str, at: &str, late: i64) -> Result<(), SignatureError> {
    let header = |name: &str| match name {
        "webhook-id" => Some("e"),
        "webhook-timestamp" => Some(at),
        "webhook-signature" => Some(signature),
        _ => None,
    };
    let now = UNIX_EPOCH + Duration::from_secs(AT.saturating_add_signed(late));
    verifier.verify(header, BODY, now)
}

#[test]
fn what_the_official_library_signs_is_believed_by_either_secret_of_a_rotation() {
    let at = AT.to_string();
    let verifier = Verifier::new(SECRET).unwrap();
    let both = verifier.clone().or(OTHER).unwrap();
    assert_eq!(check(&verifier, &sign(SECRET, AT), &at, 0), Ok(()));
    assert_eq!(check(&both, &sign(OTHER, AT), &at, 0), Ok(()));
    let two = format!("{} {}", sign(OTHER, AT), sign(SECRET, AT));
    assert_eq!(check(&verifier, &two, &at, 0), Ok(()), "the sender signs with both");
    let others = format!("v1a,AAAA v2,x  v1,? {}", sign(SECRET, AT));
    assert_eq!(check(&verifier, &others, &at, 0), Ok(()), "signatures of kinds to come are passed over");
    assert_eq!(check(&verifier, &sign(OTHER, AT), &at, 0), Err(SignatureError::Wrong));
}

#[test]
fn a_signature_that_is_not_of_these_bytes_is_wrong() {
    let verifier = Verifier::new(SECRET).unwrap();
    let good = sign(SECRET, AT);
    let at = AT.to_string();
    for bad in ["", "v1,", &good[3..], &good[..good.len() - 1], &good.to_uppercase(), "v1,AAAA"] {
        assert_eq!(check(&verifier, bad, &at, 0), Err(SignatureError::Wrong), "{bad}");
    }
    assert_eq!(check(&verifier, &good, &(AT + 1).to_string(), 0), Err(SignatureError::Wrong), "another time");
    assert_eq!(check(&verifier, &good, &format!("0{at}"), 0), Err(SignatureError::Wrong), "another text");
}

#[test]
fn what_is_more_than_five_minutes_off_is_not_believed_however_well_signed() {
    let verifier = Verifier::new(SECRET).unwrap();
    let (good, at) = (sign(SECRET, AT), AT.to_string());
    assert_eq!(check(&verifier, &good, &at, 300), Ok(()));
    assert_eq!(check(&verifier, &good, &at, 301), Err(SignatureError::TooOld));
    assert_eq!(check(&verifier, &good, &at, -300), Ok(()));
    assert_eq!(check(&verifier, &good, &at, -301), Err(SignatureError::TooNew));
    let patient = verifier.clone().tolerating(Duration::from_hours(1));
    assert_eq!(check(&patient, &good, &at, 3600), Ok(()));
    for none in ["", "-1", "soon", "1e9", "99999999999999999999"] {
        assert_eq!(check(&verifier, &good, none, 0), Err(SignatureError::NoTime), "{none}");
    }
    let far = u64::MAX.to_string();
    assert_eq!(check(&verifier, &good, &far, 0), Err(SignatureError::TooNew), "beyond what a clock can show");
}

#[test]
fn a_header_that_is_missing_is_named() {
    let verifier = Verifier::new(SECRET).unwrap();
    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let header = |name: &str| (name != missing).then_some("1748454395");
        let at = UNIX_EPOCH + Duration::from_secs(AT);
        assert_eq!(verifier.verify(header, BODY, at), Err(SignatureError::Missing(missing)));
    }
}

#[test]
fn a_secret_that_is_none_is_refused_and_none_is_shown() {
    assert!(Verifier::new(&format!(" {SECRET}\n")).is_ok(), "as a file has it");
    for bad in ["", "whsec_", "whsec_AAAA", "whsec_?", &SECRET[6..]] {
        assert_eq!(Verifier::new(bad).unwrap_err(), BadSecret, "{bad}");
    }
    let shown = format!("{:?}", Verifier::new(SECRET).unwrap());
    assert!(!shown.contains("C2FV"), "{shown}");
}
