{{- define "xstilts.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* The Lease by which one pod of this release works at a time: another release's operator has one of its own. */}}
{{- define "xstilts.lease" -}}
{{- printf "%s-operator" (include "xstilts.fullname" .) -}}
{{- end }}

{{- define "xstilts.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "xstilts.labels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "xstilts.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "xstilts.fullname" .) "default") -}}
{{- end }}

{{/* An image by digest, else by tag. Takes (list root image). */}}
{{- define "xstilts.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := list $root.Values.images.registry $image.repository | compact | join "/" -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* The namespaces that are served, as a JSON list; empty stands for all. */}}
{{- define "xstilts.namespaces" -}}
{{- if .Values.scope.clusterWide -}}
[]
{{- else -}}
{{- .Values.scope.namespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}
{{- end }}

{{/* The namespaces that are told how their stores are reached, as a JSON list: those that are served, else those that stores name. */}}
{{- define "xstilts.storeNamespaces" -}}
{{- $found := include "xstilts.namespaces" . | fromJsonArray -}}
{{- if .Values.scope.clusterWide -}}
{{- range $store := .Values.stores }}{{ $found = concat $found ($store.namespaces | default list) }}{{ end -}}
{{- end -}}
{{- ternary $found list (gt (len .Values.stores) 0) | uniq | toJson -}}
{{- end }}

{{/* How a namespace's stores are reached: core/src/xstilts/cluster/stores.py reads it. Takes (list root namespace). */}}
{{- define "xstilts.stores" -}}
{{- $root := index . 0 -}}
{{- $namespace := index . 1 -}}
{{- $stores := dict -}}
{{- range $name, $store := $root.Values.stores -}}
{{- if or (not (hasKey $store "namespaces")) (has $namespace $store.namespaces) -}}
{{- $_ := set $stores $name (pick $store "claim" "url" "secret") -}}
{{- end -}}
{{- end -}}
{{- dict
      "image" (include "xstilts.image" (list $root $root.Values.images.operator))
      "pullPolicy" $root.Values.images.pullPolicy
      "pullSecrets" $root.Values.images.pullSecrets
      "user" ($root.Values.pods.user | default nil)
      "serviceAccount" (include "xstilts.stageServiceAccountName" $root)
      "scratch" $root.Values.pods.scratch
      "labels" $root.Values.pods.labels
      "annotations" $root.Values.pods.annotations
      "nodeSelector" $root.Values.pods.nodeSelector
      "tolerations" $root.Values.pods.tolerations
      "stores" $stores | toYaml -}}
{{- end }}

{{- define "xstilts.stageServiceAccountName" -}}
{{- .Values.pods.serviceAccountName | default (.Values.scope.clusterWide | ternary "default" "xstilts-stage") -}}
{{- end }}

{{/* The operator's settings file: operator/src/xstilts_operator/settings.py says what it may hold. */}}
{{- define "xstilts.settings" -}}
{{- $images := dict
      "operator" (include "xstilts.image" (list . .Values.images.operator))
      "trainer" (include "xstilts.image" (list . .Values.images.trainer))
      "pullPolicy" .Values.images.pullPolicy
      "pullSecrets" .Values.images.pullSecrets -}}
{{- $pods := omit .Values.pods "serviceAccountName" -}}
{{- $_ := set $pods "serviceAccount" (include "xstilts.stageServiceAccountName" .) -}}
{{- if not (hasKey $pods "user") -}}{{- /* Helm drops a value that is set to null */ -}}
{{- $_ := set $pods "user" nil -}}
{{- end -}}
{{- $hub := dict "tokenKey" .Values.hub.tokenKey -}}
{{- with .Values.hub.endpoint }}{{ $_ := set $hub "endpoint" . }}{{ end -}}
{{- with .Values.hub.tokenSecret }}{{ $_ := set $hub "tokenSecret" . }}{{ end -}}
{{- $progress := dict -}}
{{- if .Values.progress.enabled -}}
{{- $_ := set $progress "address" (printf "https://%s.%s.svc:8443" (include "xstilts.fullname" .) .Release.Namespace) -}}
{{- end -}}
{{- dict
      "images" $images
      "stores" .Values.stores
      "namespaces" (include "xstilts.namespaces" . | fromJsonArray)
      "pods" $pods
      "hub" $hub
      "progress" $progress
      "attempts" .Values.attempts
      "parallelism" .Values.parallelism
      "ttlSecondsAfterFinished" .Values.ttlSecondsAfterFinished
      "kueue" .Values.kueue
      "resyncSeconds" .Values.resyncSeconds | toYaml -}}
{{- end }}

{{/* What the operator does in a namespace that it serves; tests/chart/grants.py says for what. */}}
{{- define "xstilts.rules" -}}
- apiGroups: [xstilts.dev]
  resources: [transferexperiments]
  verbs: [get, list, watch, delete]
- apiGroups: [xstilts.dev]
  resources: [transferstages]
  verbs: [get, list, watch, create, patch, delete] # it deletes none: only who may is let change their owners, as on OpenShift
- apiGroups: [xstilts.dev]
  resources: [transferexperiments/status, transferstages/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [xstilts-ca]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.kueue }}
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list, watch]
{{- end }}
{{- end }}
