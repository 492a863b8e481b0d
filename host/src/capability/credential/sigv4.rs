//! Requests that are signed instead of carrying a secret: AWS Signature Version 4, by the vendor's own library.
//!
//! The signature covers method, address, every header that is set, and the body. It holds for a few minutes, so a request is
//! signed when it is sent, and signed again when a redirect leads it elsewhere.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};

use super::Secret;
use crate::clock::Instant;

/// Object storage, which signs paths as they are and wants the digest of the body in a header.
const OBJECT_STORAGE: &str = "s3";

/// A key that signs requests to a service in a region.
pub(crate) struct Signer {
    access_key_id: String,
    region: String,
    service: String,
    secret: Secret,
}

impl Signer {
    pub(super) fn new(access_key_id: &str, region: &str, service: &str, secret: Secret) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            secret,
        }
    }

    /// Signs a request as of `now`.
    pub(super) fn sign(&self, request: &mut Request, now: Instant) -> Result<(), String> {
        let unsigned = |problem: String| format!("the request cannot be signed: {problem}");
        let secret = self.secret.expose();
        let key = Credentials::new(&self.access_key_id, secret, None, None, "understudy");
        let key = key.into();
        let params = SigningParams::builder()
            .identity(&key)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0))
            .settings(self.settings())
            .build()
            .map_err(|error| unsigned(error.to_string()))?;
        let mut headers = Vec::new();
        for (name, value) in request.headers() {
            let value = value
                .to_str()
                .map_err(|error| unsigned(error.to_string()))?;
            headers.push((name.as_str(), value));
        }
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.unwrap_or_default()),
        )
        .map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) = sign(signable, &params.into())
            .map_err(|error| unsigned(error.to_string()))?
            .into_parts();
        for (name, text) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|error| unsigned(error.to_string()))?;
            let mut value =
                HeaderValue::from_str(text).map_err(|error| unsigned(error.to_string()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == OBJECT_STORAGE {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the vendor's documentation: "GET Object" in "Authenticating Requests: Using the Authorization Header (AWS
    /// Signature Version 4)" of the Amazon S3 API reference.
    #[test]
    fn the_vendors_own_example_is_signed_as_it_is_printed() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap();
        let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", "us-east-1", "s3", secret);
        let address = "https://examplebucket.s3.amazonaws.com/test.txt";
        let mut request = Request::new(reqwest::Method::GET, address.parse().unwrap());
        request
            .headers_mut()
            .insert("range", HeaderValue::from_static("bytes=0-9"));
        // 2013-05-24T00:00:00Z
        signer
            .sign(&mut request, Instant(1_369_353_600_000))
            .unwrap();
        let headers = request.headers();
        assert_eq!(headers["x-amz-date"], "20130524T000000Z");
        let authorization = headers["authorization"].to_str().unwrap();
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert!(headers["authorization"].is_sensitive());
    }
}
