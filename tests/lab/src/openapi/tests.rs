//! A small document, so that what is refused is seen to be refused.

use super::*;

const DOCUMENT: &str = r##"
openapi: 3.0.3
servers: [{ url: "https://api.example.test/v9" }]
paths:
  /things/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: string, format: uuid } }
    get:
      operationId: get-thing
      parameters:
        - $ref: "#/components/parameters/page"
      responses:
        "200": { content: { application/json: { schema: { $ref: "#/components/schemas/thing" } } } }
        4XX: { content: { application/json: { schema: { type: object, required: [message] } } } }
    put:
      operationId: put-thing
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/thing" } } }
      responses:
        "204": { description: Done }
components:
  parameters:
    page: { name: page, in: query, schema: { type: integer, minimum: 1 } }
  schemas:
    thing:
      type: object
      required: [size]
      properties:
        size: { type: integer }
        note: { type: string, nullable: true }
        state: { type: string, nullable: true, enum: [on, "off"] }
"##;

const ID: &str = "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30";

fn document() -> Document {
    Document::parse("things", DOCUMENT).unwrap()
}

fn request(method: &str, id: &str, query: &[(&str, &str)], body: Option<&Value>) -> Vec<String> {
    let document = document();
    let found = document.find(method, &format!("/v9/things/{id}")).unwrap();
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    document.check_request(&found, &query, body).unwrap()
}

fn answer(method: &str, status: u16, body: Option<&Value>) -> Vec<String> {
    let document = document();
    let found = document.find(method, &format!("/v9/things/{ID}")).unwrap();
    document
        .check_answer(found.operation, status, JSON, body)
        .unwrap()
}

#[test]
fn an_operation_is_found_by_method_and_path_below_the_server() {
    let document = document();
    let found = document.find("PUT", "/v9/things/7").unwrap();
    assert_eq!(
        (found.operation.id.as_str(), found.path["id"].as_str()),
        ("put-thing", "7")
    );
    for (method, path) in [
        ("PUT", "/things/7"),
        ("DELETE", "/v9/things/7"),
        ("GET", "/v9/things"),
        ("GET", "/v9/things/"),
        ("GET", "/v9/things/7/more"),
    ] {
        assert!(document.find(method, path).is_err(), "{method} {path}");
    }
}

#[test]
fn parameters_are_held_to_their_schemas() {
    assert_eq!(
        request("GET", ID, &[("page", "2")], None),
        Vec::<String>::new()
    );
    for (id, query) in [
        ("not-a-uuid", vec![]),
        (ID, vec![("page", "0")]),
        (ID, vec![("page", "two")]),
        (ID, vec![("pages", "2")]),
    ] {
        assert_eq!(request("GET", id, &query, None).len(), 1, "{id} {query:?}");
    }
}

#[test]
fn bodies_are_held_to_their_schemas_and_null_to_nullable() {
    let check = |body: Value| request("PUT", ID, &[], Some(&body)).len();
    assert_eq!(check(json!({ "size": 1, "note": null, "state": null })), 0);
    assert_eq!(check(json!({ "size": null })), 1);
    assert_eq!(check(json!({ "size": 1, "state": "broken" })), 1);
    assert_eq!(check(json!({})), 1);
    assert_eq!(request("PUT", ID, &[], None), ["the body is missing"]);
    assert_eq!(
        request("GET", ID, &[], Some(&json!({}))),
        ["the body must be empty"]
    );
}

#[test]
fn answers_are_held_to_the_schema_of_their_status() {
    let none: [&str; 0] = [];
    assert_eq!(answer("GET", 200, Some(&json!({ "size": 1 }))), none);
    assert_eq!(answer("GET", 200, Some(&json!({ "size": "1" }))).len(), 1);
    assert_eq!(answer("GET", 404, Some(&json!({ "message": "no" }))), none);
    assert_eq!(answer("GET", 404, Some(&json!({}))).len(), 1);
    assert_eq!(
        answer("GET", 503, Some(&json!({}))),
        ["status 503 is not documented"]
    );
    assert_eq!(answer("PUT", 204, None), none);
    assert_eq!(answer("PUT", 204, Some(&json!({}))).len(), 1);
}

#[test]
fn a_correction_replaces_what_is_there_and_nothing_else() {
    let mut document = document();
    let place = "/components/schemas/thing/required";
    document.correct(place, json!([])).unwrap();
    let found = document.find("PUT", &format!("/v9/things/{ID}")).unwrap();
    let body = json!({});
    assert!(
        document
            .check_request(&found, &[], Some(&body))
            .unwrap()
            .is_empty()
    );
    assert!(
        document
            .correct("/components/schemas/other", json!({}))
            .is_err()
    );
}

#[test]
fn the_vendors_documents_are_there_and_every_schema_of_them_is_one() {
    for name in ["cloudflare", "digitalocean"] {
        let document = Document::load(name).unwrap();
        assert!(!document.operations.is_empty(), "{name}");
        for operation in &document.operations {
            let place = operation.place();
            for place in [
                format!("{place}/requestBody"),
                format!("{place}/responses/200"),
            ] {
                let place = document.followed(&place);
                let schema = format!("{place}/content/application~1json/schema");
                if document.root.pointer(&schema).is_some() {
                    document.validator(&schema).unwrap();
                }
            }
        }
    }
}
