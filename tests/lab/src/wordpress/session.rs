//! Somebody who is logged in to WordPress in a browser's way: the form, its cookies, and a nonce for REST.
//!
//! The public name is reached at whatever address the caller's client was pinned to, so one session can be used
//! through another zone: both have the same users and sign with the same salt.

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::clock::LIMIT;

/// Of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// A picture of one transparent pixel: the smallest thing the media library takes.
const PICTURE: [u8; 67] = [
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0a, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

/// Creates the tables and the first user. WordPress does this once; that it is done already is as good.
///
/// # Errors
/// Where it does not succeed.
pub async fn install(client: &Client, home: &str, user: &str, password: &str) -> Result<()> {
    let form = format!(
        "weblog_title=Lab&user_name={user}&admin_password={password}&admin_password2={password}&pw_weak=1\
         &admin_email={user}%40example.test&blog_public=0"
    );
    let request = client
        .post(format!("{home}/wp-admin/install.php?step=2"))
        .timeout(LIMIT);
    let response = request.header(CONTENT_TYPE, FORM).body(form).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(
        status == 200 && (text.contains("Success!") || text.contains("Already Installed")),
        "the installation answers {status}: {text}"
    );
    Ok(())
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Session {
    home: String,
    cookies: String,
    nonce: String,
}

/// What came of a request that WordPress acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Number that WordPress gave it.
    pub id: u64,
    /// Where it is shown: a post's page, a medium's file.
    pub address: String,
    /// The zone that answered.
    pub zone: String,
}

impl Session {
    /// Logs in at the form.
    ///
    /// # Errors
    /// Where the form does not let this user in.
    pub async fn log_in(client: &Client, home: &str, user: &str, password: &str) -> Result<Self> {
        let form = format!("log={user}&pwd={password}&wp-submit=Log+In&testcookie=1");
        let request = client.post(format!("{home}/wp-login.php"));
        let request = request
            .header(CONTENT_TYPE, FORM)
            .header(COOKIE, "wordpress_test_cookie=WP%20Cookie%20check");
        let response = request.body(form).send().await?;
        ensure!(
            response.status() == 302,
            "{} answers {} to a log-in",
            zone(&response),
            response.status()
        );
        let cookies: Vec<&str> = response
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .collect();
        let cookies = cookies.join("; ");
        let nonce = client.get(format!("{home}/wp-admin/admin-ajax.php?action=rest-nonce"));
        let nonce = nonce.header(COOKIE, &cookies).send().await?;
        ensure!(nonce.status() == 200, "no nonce: {}", nonce.status());
        Ok(Self {
            home: home.to_owned(),
            cookies,
            nonce: nonce.text().await?,
        })
    }

    /// Publishes a post.
    ///
    /// # Errors
    /// Where it is not acknowledged.
    pub async fn post(&self, client: &Client, title: &str) -> Result<Created> {
        let body = json!({ "title": title, "content": title, "status": "publish" });
        let request = self
            .request(client, "/wp/v2/posts")
            .header(CONTENT_TYPE, "application/json");
        created(request.body(body.to_string()), "/link").await
    }

    /// Uploads a picture under this file name.
    ///
    /// # Errors
    /// Where it is not acknowledged.
    pub async fn upload(&self, client: &Client, file: &str) -> Result<Created> {
        let request = self
            .request(client, "/wp/v2/media")
            .header(CONTENT_TYPE, "image/png");
        let request = request.header(
            "content-disposition",
            format!("attachment; filename=\"{file}\""),
        );
        created(request.body(PICTURE.to_vec()), "/source_url").await
    }

    /// A new password for a program that acts as this user, for HTTP basic authentication; it is shown this once.
    ///
    /// # Errors
    /// Where it is not acknowledged.
    pub async fn application_password(&self, client: &Client, name: &str) -> Result<String> {
        let request = self.request(client, "/wp/v2/users/me/application-passwords");
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "name": name }).to_string());
        let (answer, _) = acknowledged(request).await?;
        let password = answer.get("password").and_then(Value::as_str);
        // It is shown in groups with spaces between them and taken without.
        Ok(password.context("no password")?.replace(' ', ""))
    }

    /// A request of this user's, by the address that needs no rewriting of paths.
    fn request(&self, client: &Client, route: &str) -> RequestBuilder {
        let request = client.post(format!("{}/?rest_route={route}", self.home));
        request
            .header(COOKIE, &self.cookies)
            .header("x-wp-nonce", &self.nonce)
    }
}

async fn created(request: RequestBuilder, address: &str) -> Result<Created> {
    let (answer, zone) = acknowledged(request).await?;
    let address = answer
        .pointer(address)
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(Created {
        id: answer
            .get("id")
            .and_then(Value::as_u64)
            .context("it has no number")?,
        address: address.to_owned(),
        zone,
    })
}

async fn acknowledged(request: RequestBuilder) -> Result<(Value, String)> {
    let response = request.send().await?;
    let (status, zone) = (response.status(), zone(&response));
    let text = response.text().await?;
    ensure!(
        status == 201,
        "{zone} answers {status}: {}",
        text.chars().take(300).collect::<String>()
    );
    Ok((serde_json::from_str(&text)?, zone))
}

/// The zone that answered, as its way in says.
fn zone(response: &Response) -> String {
    let zone = response
        .headers()
        .get("x-zone")
        .and_then(|zone| zone.to_str().ok());
    zone.unwrap_or_default().to_owned()
}
