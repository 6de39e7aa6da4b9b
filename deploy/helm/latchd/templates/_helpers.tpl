{{- define "latchd.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "latchd.selector" -}}
app.kubernetes.io/name: latchd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "latchd.labels" -}}
{{ include "latchd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* The nodes that form the cluster: 1=https://NAME-1.NAME-peers:9443,2=… */}}
{{- define "latchd.peers" -}}
{{- $name := include "latchd.name" . -}}
{{- $peers := list -}}
{{- range $node := untilStep 1 (int (add1 .Values.bootstrapNodes)) 1 -}}
{{- $peers = append $peers (printf "%d=https://%s-%d.%s-peers:9443" $node $name $node $name) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}

{{/* What the schema of the values cannot say. */}}
{{- define "latchd.check" -}}
{{- if and (eq (int .Values.bootstrapNodes) 1) (gt (int .Values.replicas) 1) -}}
{{- fail "bootstrapNodes: 1 is a node alone, so replicas must be 1; for a cluster, bootstrapNodes is 3 or 5" -}}
{{- end -}}
{{- if gt (int .Values.replicas) (int .Values.nodesMax) -}}
{{- fail (printf "replicas: %d is more than nodesMax: %d, so the last nodes would get no certificates" (int .Values.replicas) (int .Values.nodesMax)) -}}
{{- end -}}
{{- end -}}
