{{- define "lakemesh.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lakemesh.selector" -}}
app.kubernetes.io/name: lakemesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "lakemesh.labels" -}}
{{ include "lakemesh.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "lakemesh.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* The account of a component. */ -}}
{{- define "lakemesh.account" -}}
{{- $kind := get (dict "cycle" "cycle" "stream" "stream" "serve" "serve" "live" "serve" "test" "serve") .component -}}
{{- $given := index .root.Values.serviceAccounts $kind -}}
{{ $given.name | default (printf "%s-%s" (include "lakemesh.name" .root) $kind) }}
{{- end }}

{{- /* The variables of a component: settings by the ConfigMap, and those secrets that its command reads. */ -}}
{{- define "lakemesh.environment" -}}
{{- $read := get (dict
  "cycle" "^(AWS_|KAFKA_|PG|SERVING_|SMTP_|SLACK_|NOTIFY_|OPENLINEAGE_|LAKE_ERASURE_KEY$|LAKE_ROLE_KEYS$)"
  "stream" "^(AWS_|KAFKA_|LAKE_ERASURE_KEY$)"
  "live" "^(AWS_|KAFKA_)"
  "serve" "^(AWS_|KAFKA_|LAKE_API_|LAKE_JWT_)"
  "test" "^$") .component -}}
envFrom:
  - configMapRef:
      name: {{ include "lakemesh.name" .root }}
env:
  - name: LAKE_HOME
    value: /data
  {{- with .live }}
  - name: LIVE_URL
    value: {{ . | quote }}
  {{- end }}
  {{- range $variable, $from := .root.Values.secrets }}
  {{- if regexMatch $read $variable }}
  - name: {{ $variable }}
    valueFrom:
      secretKeyRef:
        name: {{ $from.name }}
        key: {{ $from.key }}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "lakemesh.container" -}}
image: {{ include "lakemesh.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: home
    mountPath: /data
  - name: tmp
    mountPath: /tmp
{{ include "lakemesh.environment" . }}
resources: {{- toYaml .resources | nindent 2 }}
{{- end }}

{{- /* What every pod has; `home` is claim or memory. */ -}}
{{- define "lakemesh.pod" -}}
serviceAccountName: {{ include "lakemesh.account" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: home
    {{- if and .claim .root.Values.persistence.enabled }}
    persistentVolumeClaim:
      claimName: {{ .root.Values.persistence.existingClaim | default (include "lakemesh.name" .root) }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ .root.Values.tmpSize }}
{{- end }}

{{- define "lakemesh.podMetadata" -}}
labels:
  {{- include "lakemesh.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "lakemesh.serve" -}}
{{- if not (or (hasKey .root.Values.secrets "LAKE_API_KEYS") (hasKey .root.Values.secrets "LAKE_JWT_KEY")) }}
{{- fail "serve and live answer other machines only with keys: set secrets.LAKE_API_KEYS or secrets.LAKE_JWT_KEY (docs/serve.md)" }}
{{- end }}
command: [lake, serve, --host, 0.0.0.0, --port, {{ .root.Values.serve.port | quote }}]
ports:
  - name: http
    containerPort: {{ .root.Values.serve.port }}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 20
  timeoutSeconds: 10
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 10
  timeoutSeconds: 10
{{ include "lakemesh.container" . }}
{{- end }}
