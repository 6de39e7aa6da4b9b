//! The gRPC services with their methods and messages, from the descriptors that reflection gives to tools.

use super::super::html::Html;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
};
use serde_json::{Map, Value, json};

/// A service: its name with the package, and the descriptors of its file and what that imports.
pub type Service = (&'static str, &'static [u8]);

/// Messages within messages are followed so deep.
const DEPTH_MAX: usize = 4;

pub fn services(html: &mut Html, services: &[Service]) {
    html.raw("<h2 id=\"grpc\">gRPC</h2>\n<p>Over HTTP/2 on the same listeners. Reflection is on, so ");
    html.raw("<code>grpcurl</code> needs no files; a credential goes into the metadata <code>x-api-key</code> or ");
    html.raw("<code>authorization</code>.</p>\n");
    for (name, descriptors) in services {
        let Ok(set) = FileDescriptorSet::decode(*descriptors) else { continue };
        service(html, name, &set);
    }
}

fn service(html: &mut Html, name: &str, set: &FileDescriptorSet) {
    let (package, short) = name.rsplit_once('.').unwrap_or(("", name));
    let in_package = set.file.iter().filter(|file| file.package() == package);
    let found = in_package.flat_map(|file| file.service.iter().map(move |service| (file, service)));
    let Some((file, service)) = found.into_iter().find(|(_, service)| service.name() == short) else { return };
    html.raw("<section class=\"endpoint\"><h3 id=\"grpc-").text(name).raw("\"><code>").text(name);
    html.raw("</code></h3>\n<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"Methods\">");
    html.raw("<table class=\"rows\"><thead><tr><th scope=\"col\">Method</th><th scope=\"col\">Request</th>");
    html.raw("<th scope=\"col\">Answer</th></tr></thead><tbody>\n");
    for method in &service.method {
        html.raw("<tr><td><code>").text(method.name()).raw("</code></td><td>");
        message(html, method.input_type(), method.client_streaming());
        html.raw("</td><td>");
        message(html, method.output_type(), method.server_streaming());
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
    if let Some(first) = service.method.first() {
        html.raw("<pre class=\"copy\" tabindex=\"0\">").text(line(name, first, set)).raw("</pre>\n");
    }
    html.raw("<details><summary>Messages</summary><pre tabindex=\"0\">");
    messages(file).lines().for_each(|line| _ = html.text(line).raw("\n"));
    html.raw("</pre></details>");
    html.raw("</section>\n");
}

fn message(html: &mut Html, name: &str, is_stream: bool) {
    html.raw(if is_stream { "stream of <code>" } else { "<code>" }).text(short(name)).raw("</code>");
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A call of a method, to be copied.
fn line(service: &str, method: &MethodDescriptorProto, set: &FileDescriptorSet) -> String {
    let sample = sample(method.input_type(), set, DEPTH_MAX);
    format!("grpcurl -insecure -H 'x-api-key: KEY' -d '{sample}' \"$HOST\" {service}/{}", method.name())
}

fn sample(name: &str, set: &FileDescriptorSet, depth: usize) -> Value {
    let Some(message) = find(name, set).filter(|_| depth > 0) else { return json!({}) };
    // Of a choice, the first.
    let mut seen = Vec::new();
    let is_shown = |field: &&FieldDescriptorProto| match field.oneof_index.filter(|_| !field.proto3_optional()) {
        Some(choice) if seen.contains(&choice) => false,
        Some(choice) => {
            seen.push(choice);
            true
        }
        None => true,
    };
    let value = |field: &FieldDescriptorProto| {
        let one = match field.r#type() {
            Type::String => json!("text"),
            Type::Bytes => json!(""),
            Type::Bool => json!(true),
            Type::Message if field.type_name() == ".google.protobuf.Duration" => json!("30s"),
            Type::Message => sample(field.type_name(), set, depth - 1),
            _ => json!(1),
        };
        (field.json_name().to_owned(), if is_list(field) { json!([one]) } else { one })
    };
    Value::Object(message.field.iter().filter(is_shown).map(value).collect::<Map<_, _>>())
}

fn is_list(field: &FieldDescriptorProto) -> bool {
    field.label() == Label::Repeated
}

fn find<'a>(name: &str, set: &'a FileDescriptorSet) -> Option<&'a DescriptorProto> {
    let in_file = |file: &'a FileDescriptorProto| {
        let short = name.trim_start_matches('.').strip_prefix(file.package())?.trim_start_matches('.');
        file.message_type.iter().find(|message| message.name() == short)
    };
    set.file.iter().find_map(in_file)
}

/// The messages of a file, as its source has them.
fn messages(file: &FileDescriptorProto) -> String {
    let mut text = String::new();
    for message in &file.message_type {
        text.push_str(&format!("message {} {{\n", message.name()));
        for field in &message.field {
            let list = if is_list(field) { "repeated " } else { "" };
            let optional = if field.proto3_optional() { "optional " } else { "" };
            text.push_str(&format!("  {list}{optional}{} {} = {};\n", kind(field), field.name(), field.number()));
        }
        text.push_str("}\n");
    }
    for kinds in &file.enum_type {
        let names: Vec<String> =
            kinds.value.iter().map(|value| format!("{} = {}", value.name(), value.number())).collect();
        text.push_str(&format!("enum {} {{ {} }}\n", kinds.name(), names.join(", ")));
    }
    text
}

fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}
